"""Log in to an SSH server: commands, SFTP both ways, a forwarded channel's output, a wrong key refused."""
import io
import json
import sys

import paramiko

host, port, user, key, host_key = sys.argv[1:]
BIG = bytes(range(256)) * 8000
seen: dict[str, object] = {}

with paramiko.SSHClient() as client:
    client.get_host_keys().add(f"[{host}]:{port}", "ssh-ed25519",
                               paramiko.Ed25519Key(data=__import__("base64").b64decode(host_key)))
    client.connect(host, int(port), user, key_filename=key, timeout=10, look_for_keys=False, allow_agent=False)
    stdin, stdout, stderr = client.exec_command("cat; echo oops >&2; exit 3", timeout=10)
    stdin.write("through the shell")
    stdin.channel.shutdown_write()
    seen["out"], seen["err"] = stdout.read().decode(), stderr.read().decode()
    seen["status"] = stdout.channel.recv_exit_status()
    with client.open_sftp() as sftp:
        sftp.putfo(io.BytesIO(BIG), "big")
        back = io.BytesIO()
        sftp.getfo("big", back)
        seen["sftp"] = back.getvalue() == BIG
        seen["listed"] = sorted(name for name in sftp.listdir() if name == "big")
        sftp.remove("big")
with paramiko.SSHClient() as stranger:
    stranger.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    try:
        stranger.connect(host, int(port), user, pkey=paramiko.RSAKey.generate(2048), timeout=10,
                         look_for_keys=False, allow_agent=False)
    except paramiko.AuthenticationException:
        seen["stranger"] = "refused"
print(json.dumps(seen))
