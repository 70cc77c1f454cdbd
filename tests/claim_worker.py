"""A worker that claims and publishes shards, which may be killed or suspended at any moment.

    python claim_worker.py PLACE FOLDER NAME SHARDS LEASE

works on SHARDS shards in PLACE (a bucket's URL, or "" for FOLDER), each taking a moment, and notes
in FOLDER/NAME.txt what it tried and what it published.
"""

import sys
import time
from pathlib import Path

from imagination.claims import Claims
from imagination.places import CLAIMS, open_place, shard_name


def main(arguments: list[str]) -> None:
    """Works until every shard is there, whoever did it."""
    url, folder, name, shards, lease = arguments
    place = open_place(Path(folder) / ("shared" if not url else name), url)
    claims = Claims(place.files, CLAIMS, lease_seconds=float(lease))

    def write(target: Path) -> None:
        target.mkdir(parents=True)
        (target / "by.txt").write_text(name)
        time.sleep(0.2)

    with (Path(folder) / f"{name}.txt").open("w", buffering=1) as notes:
        while len(done := place.done()) < int(shards):
            for number in sorted(set(range(int(shards))) - done):
                with claims.holding(shard_name(number)) as mine:
                    if mine and not place.is_done(number):
                        notes.write(f"tried {number}\n")
                        if place.publish(number, write):
                            notes.write(f"published {number}\n")
            time.sleep(0.05)


if __name__ == "__main__":
    main(sys.argv[1:])
