"""Read mail: IMAP with append, search and IDLE's poor relation NOOP; POP3 on the same mailbox."""
import imaplib
import json
import poplib
import sys

host, imap_port, pop_port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
BIG = b"Subject: large\r\n\r\n" + b"0123456789abcdef\r\n" * 40_000
seen: dict[str, object] = {}
with imaplib.IMAP4(host, imap_port, timeout=10) as box:
    box.login("user", "secret")
    box.select()
    box.append("INBOX", None, None, b"Subject: small\r\n\r\nhello\r\n")
    box.append("INBOX", None, None, BIG)
    box.noop()
    seen["found"] = box.search(None, "SUBJECT", "large")[1][0].decode()
    seen["fetched"] = box.fetch("2", "(RFC822)")[1][0][1] == BIG
    box.close()
post = poplib.POP3(host, pop_port, timeout=10)
post.user("user")
post.pass_("secret")
seen["stat"] = post.stat()[0]
seen["retr"] = post.retr(1)[1][-1].decode()
post.dele(1)
post.quit()
print(json.dumps(seen))
