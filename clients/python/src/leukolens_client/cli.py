"""The command `leukolens`, which is also `python -m leukolens_client`."""

from __future__ import annotations

import argparse
import contextlib
import getpass
import logging
import logging.handlers
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

from leukolens_client import login, telling
from leukolens_client._version import __version__
from leukolens_client.client import Client
from leukolens_client.errors import LeukoLensError, NotSignedIn, Refused, Stopped
from leukolens_client.records import RESEARCH_USE_ONLY, Case, Image
from leukolens_client.watching import Watch, Watcher

WELL, FAILED, TRAY, INTERRUPTED = 0, 1, 3, 130

_EPILOG = """\
Exit status: 0 all is well; 1 something failed, and was said; 2 the command was not understood; 3 all has arrived, but
some files wait in the server's tray until a person says whose they are; 130 interrupted, the same command goes on.

LEUKOLENS_URL and LEUKOLENS_TOKEN win over what `login` kept. Research use only – not for diagnostic use.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    options = parser().parse_args(arguments)
    stop = threading.Event()
    try:
        with _stopping(stop):
            status: int = options.run(options, stop)
    except (Stopped, KeyboardInterrupt):
        print("Interrupted. The same command goes on where this one was.", file=sys.stderr)
        return INTERRUPTED
    except NotSignedIn as error:
        print(f"{error.detail} Sign in again: leukolens login URL", file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (LeukoLensError, OSError, ValueError) as error:
        print(str(error), file=sys.stderr)
        return FAILED
    return status


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="leukolens",
        description="Bring pictures to a LeukoLens portal and take their readings home.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"leukolens-client {__version__}", help="tell the version")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: object, words: str, more: str) -> argparse.ArgumentParser:
        made = commands.add_parser(
            name, help=words, description=f"{words[0].upper()}{words[1:]}.", epilog=more,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        made.set_defaults(run=run)
        return made

    entry = command("login", _login, "check an API token and keep it", _LOGIN)
    entry.add_argument("url", metavar="URL", help="address of the portal, such as https://lab.example")
    entry.add_argument(
        "--token-file", type=Path, metavar="FILE", help="read the token from FILE instead of asking; - for stdin"
    )

    command("logout", _logout, "forget the token that login kept", "It stays valid: revoke it on the page API tokens.")

    upload = command("upload", _upload, "send files, folders and zips as one batch", _UPLOAD)
    upload.add_argument("paths", nargs="+", metavar="PATH", help="a picture, a zip, or a folder with pictures below it")
    whose = _whose(upload)
    whose.add_argument(
        "--manifest", type=Path, metavar="CSV", help="a list (CSV or XLSX) that says which file is of which case"
    )
    upload.add_argument("--name", default="", help="name of the batch, to find it again")
    _picture(upload)
    _parallel(upload)
    upload.add_argument("--wait", action="store_true", help="wait until all is read, and show the readings")
    upload.add_argument("--json", action="store_true", help="tell the outcomes as JSON")

    watch = command("watch", _watch, "send what a microscope writes into a folder", _WATCH)
    watch.add_argument("folder", type=Path, metavar="FOLDER", help="looked at with all folders below it")
    _whose(watch)
    _picture(watch)
    _parallel(watch)
    watch.add_argument(
        "--still",
        type=_seconds,
        default=5.0,
        metavar="SECONDS",
        help="a file that did not change for so long is finished (5)",
    )
    watch.add_argument(
        "--every", type=_seconds, default=2.0, metavar="SECONDS", help="how often the folder is looked at (2)"
    )
    watch.add_argument("--move-to", type=Path, metavar="DONE", help="move files there that have arrived")
    watch.add_argument("--once", action="store_true", help="send what is there and end")
    watch.add_argument("--log", type=Path, metavar="FILE", help="write the log there too (5 files of 10 MB)")

    results = command("results", _results, "show what was read", _RESULTS)
    which = results.add_mutually_exclusive_group(required=True)
    which.add_argument("accession", nargs="?", metavar="ACCESSION", help="accession number of a case")
    which.add_argument("--batch", type=int, metavar="ID", help="all images of a batch")
    how = results.add_mutually_exclusive_group()
    how.add_argument("--csv", action="store_true", help="as CSV")
    how.add_argument("--json", action="store_true", help="as JSON, with the assessment of the case")
    results.add_argument("--wait", action="store_true", help="wait until all is read")

    export = command("export", _export, "take the laboratory's decided pictures away, de-identified", _EXPORT)
    export.add_argument("out", type=Path, metavar="OUT", help="the zip to write; it must not be there yet")
    export.add_argument("--task", action="append", choices=["field", "cell"], help="only fields, or only single cells")
    export.add_argument("--since", metavar="DAY", help="decided on that day or later, YYYY-MM-DD")
    export.add_argument("--until", metavar="DAY", help="decided on that day or earlier, YYYY-MM-DD")
    export.add_argument(
        "--class", action="append", dest="labels", metavar="CLASS", help="only that class; may be repeated"
    )
    export.add_argument("--open-cases", action="store_true", help="also of cases that are not signed")
    export.add_argument("--plan", action="store_true", help="only tell what it would hold")
    return top


def _whose(made: argparse.ArgumentParser) -> argparse._MutuallyExclusiveGroup:
    whose = made.add_mutually_exclusive_group()
    whose.add_argument("--case", default="", metavar="ACCESSION", help="all of them are of this case")
    whose.add_argument(
        "--mask", default="", help="how numbers in the names look: # a digit, @ a letter, #+ several; S##-####"
    )
    return whose


def _picture(made: argparse.ArgumentParser) -> None:
    made.add_argument("--kind", default="", choices=["field", "cell"], help="told from each picture unless given")
    made.add_argument("--um-per-pixel", type=float, metavar="UM", help="micrometres on the slide for each pixel")


def _parallel(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--parallel", type=int, default=3, metavar="N", choices=range(1, 17), help="files at a time, 1 to 16 (3)"
    )


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.1 <= value <= 3600:
        raise argparse.ArgumentTypeError("between 0.1 and 3600 seconds")
    return value


_LOGIN = """\
Make the token on the page API tokens: images:write to upload, cases:read for results. It is kept in your own
configuration folder and readable for you alone.

  leukolens login https://lab.example
  leukolens login https://lab.example --token-file /run/secrets/leukolens
"""
_UPLOAD = """\
A connection that breaks is gone on with; so is a run that was interrupted, by the same command. Without --case,
--mask or --manifest the portal looks for accession numbers in names and folders, by the laboratory's own forms.

  leukolens upload S26-0123/                       the folder's name is the case
  leukolens upload slides/*.jpg --case S26-0123 --wait
  leukolens upload run7/ --manifest run7/cases.csv
"""
_WATCH = """\
What was sent is kept in a journal, so that nothing is sent twice, whenever this is stopped, killed or started again. A
server that is away is waited for. Ends with status 0 at SIGTERM; one watcher at a time looks after a folder.

  leukolens watch /mnt/microscope --mask S##-####
  leukolens watch D:\\Images --move-to D:\\Sent --log C:\\Logs\\leukolens.log
"""
_RESULTS = """\
  leukolens results S26-0123
  leukolens results --batch 12 --wait --csv > batch-12.csv
"""
_EXPORT = """\
Needs a token with the scope data:export of an administrator of the laboratory. What leaves and what does not:
docs/export.md of the portal. Each export stands in the laboratory's audit.

  leukolens export decided.zip --since 2026-01-01
  leukolens export blasts.zip --task cell --class blast --plan
"""


@contextlib.contextmanager
def _stopping(stop: threading.Event) -> Iterator[None]:
    """The first signal ends what is going on in order, the second one at once."""

    def asked(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(INTERRUPTED)
        stop.set()

    before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _client(stop: threading.Event, patience: float = 120.0) -> Client:
    known = login.current()
    return Client(known.url, known.token, stop=stop, patience=patience)


def _login(options: argparse.Namespace, stop: threading.Event) -> int:
    if options.token_file and str(options.token_file) != "-":
        token = options.token_file.read_text().strip()
    elif options.token_file or not sys.stdin.isatty():
        token = sys.stdin.readline().strip()
    else:
        token = getpass.getpass("API token (it is not shown): ").strip()
    if not token:
        raise ValueError("No token was given.")
    with Client(options.url, token, stop=stop, patience=10.0) as client:
        me = client.me()
        where = login.keep(login.Login(client.wire.url, token))
    print(f"Signed in to {client.wire.url} as {me.name or me.email}, {me.laboratory} ({', '.join(me.scopes)}).")
    print(f"Kept in {where}.")
    if client.wire.url.startswith("http:") and urlsplit(client.wire.url).hostname not in (
        "localhost",
        "127.0.0.1",
        "::1",
    ):
        print("This address is not encrypted: whoever listens can use the token. Prefer https.", file=sys.stderr)
    return WELL


def _logout(options: argparse.Namespace, stop: threading.Event) -> int:
    print("Forgotten." if login.forget() else "No token was kept.")
    return WELL


def _upload(options: argparse.Namespace, stop: threading.Event) -> int:
    bars = telling.Bars()
    with _client(stop) as client:
        try:
            sent = client.upload(
                options.paths, case=options.case, mask=options.mask, manifest=options.manifest, name=options.name,
                kind=options.kind, um_per_pixel=options.um_per_pixel, parallel=options.parallel, told=bars,
            )  # fmt: skip
        finally:
            bars.close()
        said, lines = telling.sent_as_json(sent), list[dict[str, Any]]()
        if not options.json:
            for result in sent.results:
                print(telling.sentence(result))
            print(telling.summary(sent))
        if options.wait:
            lines = telling.rows(_of_batch(client, sent.batch, wait=True))
            said |= {"images": lines, "research_use_only": RESEARCH_USE_ONLY}
            if not options.json:
                print(telling.table(lines))
                telling.research_use_only()
        if options.json:
            print(telling.as_json(said))
    unread = options.wait and any(line["status"] == "failed" for line in lines)
    return FAILED if sent.failed or unread else TRAY if sent.unmatched else WELL


@contextlib.contextmanager
def _logging(to: Path | None) -> Iterator[None]:
    """The watcher's log on stderr, and in a file if wanted."""
    logger = logging.getLogger("leukolens")
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    if to:
        handlers.append(logging.handlers.RotatingFileHandler(to, maxBytes=10_000_000, backupCount=5, encoding="utf-8"))
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()


def _watch(options: argparse.Namespace, stop: threading.Event) -> int:
    if not options.folder.is_dir():
        raise NotADirectoryError(f"There is no folder {options.folder}.")
    watch = Watch(
        folder=options.folder, still=options.still, every=options.every, parallel=options.parallel,
        case=options.case, mask=options.mask, kind=options.kind, um_per_pixel=options.um_per_pixel,
        move_to=options.move_to, once=options.once,
    )  # fmt: skip
    with _logging(options.log), _client(stop, patience=30.0) as client:
        ended = Watcher(client, watch).run()
    return FAILED if ended["rejected"] else TRAY if ended["unmatched"] and options.once else WELL


def _results(options: argparse.Namespace, stop: threading.Event) -> int:
    with _client(stop) as client:
        if options.batch is not None:
            found = _of_batch(client, options.batch, wait=options.wait)
        else:
            case = client.case(options.accession)
            images = client.wait_for_case(case.id) if options.wait else list(client.images(case.id))
            found = [(client.case(case.id) if options.wait else case, images)]
        lines = telling.rows(found)
        if options.csv:
            telling.write_csv(lines)
        elif options.json:
            cases = [telling.case_as_json(case) for case, _ in found]
            print(telling.as_json({"cases": cases, "images": lines, "research_use_only": RESEARCH_USE_ONLY}))
        else:
            for case, _ in found:
                if case.assessment:
                    print(f"{case.accession_number}: {case.assessment.statement}")
            print(telling.table(lines))
    telling.research_use_only()
    return FAILED if any(line["status"] == "failed" for line in lines) else WELL


def _of_batch(client: Client, batch: int, *, wait: bool) -> list[tuple[Case, list[Image]]]:
    """The cases that files of a batch went into, each with the images of the batch."""
    if wait:
        client.wait(batch, told=telling.waiting_bar())
    by_case: dict[int, set[int]] = {}
    for file in client.batch_files(batch):
        if file.outcome.case is not None and file.outcome.image is not None:
            by_case.setdefault(file.outcome.case, set()).add(file.outcome.image)
    found = []
    for case, wanted in by_case.items():
        # What the case had already may still be read for another batch.
        images = client.wait_for_case(case, images=wanted) if wait else list(client.images(case))
        found.append((client.case(case), [image for image in images if image.id in wanted]))
    return found


def _export(options: argparse.Namespace, stop: threading.Event) -> int:
    choice = {
        "tasks": options.task, "since": options.since, "until": options.until, "labels": options.labels,
        "signed_only": not options.open_cases,
    }  # fmt: skip
    with _client(stop) as client:
        try:
            plan = client.export_plan(**choice)
            print(
                f"{plan['images']} pictures of {plan['patients']} patients, {plan['bytes'] / 2**20:.1f} MiB",
                file=sys.stderr,
            )
            if options.plan:
                print(telling.as_json(plan))
                return WELL
            print(f"Written to {client.export(options.out, **choice)}.")
        except Refused as refused:
            if refused.status == 403:
                raise Refused(
                    403,
                    refused.code,
                    f"{refused.detail} An administrator's token with the scope data:export is needed.",
                ) from None
            raise
    return WELL


if __name__ == "__main__":
    sys.exit(main())
