"""Clone a git repository by dulwich, push a commit back: URL FOLDER."""
import json
import sys
from pathlib import Path

from dulwich import porcelain

url, folder = sys.argv[1], Path(sys.argv[2])
repository = porcelain.clone(url, str(folder))
seen = {"size": (folder / "big").stat().st_size}
(folder / "new").write_text("from the stack")
porcelain.add(repository, [str(folder / "new")])
porcelain.commit(repository, message=b"new", author=b"me <me@test>", committer=b"me <me@test>")
porcelain.push(repository, url, "master")
repository.close()
print(json.dumps(seen))
