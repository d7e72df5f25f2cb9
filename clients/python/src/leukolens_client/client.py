"""The portal as an object: `with Client("https://lab.example", "ll_…") as portal: …`."""

from __future__ import annotations

import threading
import time
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from leukolens_client.errors import Refused, TimedOut, Unreachable
from leukolens_client.records import Batch, BatchFile, Case, Image, Me
from leukolens_client.uploading import Sent, Told, Upload
from leukolens_client.wire import Wire, why_not

T = TypeVar("T")
_PAGE = 200


class Client:
    """One laboratory of a LeukoLens portal, as the token's person sees it. Safe to use from several threads.

    `url`: of the portal, as in the browser. `patience`: seconds for which a server that does not answer, or answers
    429, 502, 503 or 504, is asked again before `Unreachable` is raised; what it refuses is raised as `Refused` at once.
    Every POST carries an idempotency key through all its tries, so that one whose answer got lost counts once.

    ```python
    with Client("https://lab.example", "ll_…") as portal:
        case = portal.open_case("S26-0123", mrn="7741-203")
        sent = portal.upload(["S26-0123/"], case=case.accession_number)
        portal.wait(sent.batch)
        for image in portal.images(case.id):
            print(image.name, image.reading and image.reading.label)
    ```
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        patience: float = 120.0,
        transport: httpx.BaseTransport | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self.wire = Wire(url, token, patience=patience, transport=transport, stop=stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.wire.close()

    # -- who ------------------------------------------------------------------------------------------------
    def me(self) -> Me:
        """Whom the token speaks for, and what it may do. Raises `NotSignedIn`."""
        return Me.read(self.wire.api("GET", "me/"))

    # -- cases ----------------------------------------------------------------------------------------------
    def cases(self, **narrowed: str | Sequence[str]) -> Iterator[Case]:
        """Cases, page by page as you go on. `narrowed` as the API has it: status, priority, specimen, mrn,
        accession_number, created_after, search, ordering, …"""
        return map(Case.read, self._pages("cases/", narrowed))

    def case(self, case: int | str) -> Case:
        """One case with its assessment, by id or by accession number. Raises `Refused` (404)."""
        if isinstance(case, str):
            found = next(self.cases(accession_number=case), None)
            if found is None:
                raise Refused(404, "not_found", f"There is no case {case} here.")
            case = found.id
        return Case.read(self.wire.api("GET", f"cases/{case}/"))

    def open_case(
        self,
        accession_number: str,
        *,
        mrn: str,
        name: str = "",
        specimen: str = "peripheral_blood",
        priority: str = "routine",
        clinical_question: str = "",
        **more: Any,
    ) -> Case:
        """Open a case on a patient, who is matched by MRN or new. `more`: stain, requester_name, requester_email.

        Raises `Refused`: `accession_taken` (`existing` is that case's id), `patient_differs`, …
        """
        patient = {"mrn": mrn} | ({"name": name} if name else {})
        body = {
            "accession_number": accession_number, "specimen": specimen, "priority": priority,
            "clinical_question": clinical_question, "patient": patient, **more,
        }  # fmt: skip
        return Case.read(self.wire.api("POST", "cases/", body=body))

    def images(self, case: int) -> Iterator[Image]:
        """The images of a case, by its id, in the order they came."""
        return (Image.read({**said, "case": case}) for said in self._pages(f"cases/{case}/images/"))

    def image(self, image: int) -> Image:
        """One image by its id."""
        return Image.read(self.wire.api("GET", f"images/{image}/"))

    # -- batches --------------------------------------------------------------------------------------------
    def batches(self) -> Iterator[int]:
        """Ids of the laboratory's batches, the newest first; `batch` tells how far one is."""
        return (int(said["id"]) for said in self._pages("batches/"))

    def batch(self, batch: int) -> Batch:
        """How far a batch is."""
        return Batch.read(self.wire.api("GET", f"batches/{batch}/"))

    def open_batch(
        self,
        name: str = "",
        *,
        accession_number: str = "",
        kind: str = "",
        um_per_pixel: float | None = None,
        key: str = "",
    ) -> Batch:
        """Open a batch, to which files are then sent. `accession_number`: the case of all of them; `kind`: field or
        cell, told from each picture where left out. `key`: a UUID of your own, so that asking again after a crash
        opens no second one."""
        body: dict[str, object] = {"name": name, "accession_number": accession_number}
        if kind:
            body["kind"] = kind
        if um_per_pixel is not None:
            body["um_per_pixel"] = um_per_pixel
        return Batch.read(self.wire.api("POST", "batches/", body=body, key=key))

    def batch_files(self, batch: int, *, show: str = "") -> Iterator[BatchFile]:
        """The files of a batch in the order they came, each with its outcome. `show`: those of one outcome, or `needs`:
        those that somebody has to do something about."""
        return map(BatchFile.read, self._pages(f"batches/{batch}/files/", {"show": show} if show else None))

    def batch_file(self, batch: int, file: int) -> BatchFile:
        """One file of a batch."""
        return BatchFile.read(self.wire.api("GET", f"batches/{batch}/files/{file}/"))

    def send_manifest(self, batch: int, path: str | Path) -> Mapping[str, int]:
        """Send a list (CSV or XLSX) of cases and files, which the server checks completely before anything is
        written; `rows`, cases `opened`, files `matched`. Raises `Refused`, its text with each mistake."""
        path = Path(path)
        files = {"file": (path.name, path.read_bytes(), "application/octet-stream")}
        answer = self.wire.ask("POST", f"{self.wire.url}/api/v1/batches/{batch}/manifest/", files=files)
        said: Mapping[str, int] = answer.json()
        return said

    def upload(
        self,
        paths: Iterable[str | Path],
        *,
        case: str = "",
        mask: str = "",
        manifest: str | Path | None = None,
        name: str = "",
        kind: str = "",
        um_per_pixel: float | None = None,
        parallel: int = 3,
        told: Told | None = None,
        state: Path | None = None,
    ) -> Sent:
        """Send files, folders and zips as one batch; what became of each.

        `case`: the accession number of all of them; `mask`: how the numbers in their names look (`S##-####`);
        `manifest`: a list that says it; else the portal looks for numbers in names and folders. What breaks off is gone
        on with, also in a later call with the same arguments; `state` is the folder that this is remembered in.
        Files that fail are told in the answer and do not raise. Raises `Refused`, `Unreachable`, FileNotFoundError.
        """
        upload = Upload(
            paths=list(paths), case=case, mask=mask, manifest=Path(manifest) if manifest else None, name=name,
            kind=kind, um_per_pixel=um_per_pixel, parallel=parallel,
        )  # fmt: skip
        return upload.run(self, told=told, state=state)

    # -- waiting --------------------------------------------------------------------------------------------
    def wait(
        self,
        batch: int,
        *,
        timeout: float | None = None,
        every: float = 1.0,
        told: Callable[[Batch], None] | None = None,
    ) -> Batch:
        """Wait until nothing of a batch arrives, waits or is being read. `told` is called with each look.

        `timeout`: seconds, then `TimedOut`; None: as long as it takes. `every`: seconds between looks, at first.
        """
        return self._until(lambda: self.batch(batch), lambda seen: seen.is_done, f"batch {batch}", timeout, every, told)

    def wait_for_case(
        self, case: int, *, images: Collection[int] | None = None, timeout: float | None = None, every: float = 1.0
    ) -> list[Image]:
        """Wait until every image of a case (or those with the ids `images`) is read or has failed; all its images.

        Raises `TimedOut`.
        """
        return self._until(
            lambda: list(self.images(case)),
            lambda seen: all(image.is_settled for image in seen if images is None or image.id in images),
            f"case {case}", timeout, every, None,
        )  # fmt: skip

    def _until(
        self, look: Callable[[], T], is_done: Callable[[T], bool], what: str, timeout: float | None, every: float,
        told: Callable[[T], None] | None,
    ) -> T:  # fmt: skip
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            seen = look()
            if told:
                told(seen)
            if is_done(seen):
                return seen
            if end is not None and time.monotonic() >= end:
                raise TimedOut(f"Waited {timeout:.0f} s for {what}; it goes on by itself.")
            self.wire.stop.wait(every if end is None else min(every, max(0.0, end - time.monotonic())))
            self.wire.check_stop()
            every = min(10.0, every * 1.2)

    # -- export ---------------------------------------------------------------------------------------------
    def export_plan(self, **choice: Any) -> Mapping[str, Any]:
        """What an export would hold: `images`, `patients`, `bytes`, `classes`, … `choice` as for `export`."""
        said: Mapping[str, Any] = self.wire.api("GET", "export/", params=_choice(choice))
        return said

    def export(self, out: str | Path, *, told: Callable[[int], None] | None = None, **choice: Any) -> Path:
        """The laboratory's decided pictures, de-identified, as a zip at `out`, which must not be there yet.

        `choice`: tasks (field, cell), signed_only, since, until (days of the decisions), labels (classes). `told` is
        called with the bytes so far. It is written beside `out` and takes its name only when it is whole. Raises
        `Refused`, `Unreachable`, FileExistsError, OSError.
        """
        out = Path(out)
        if out.exists():
            raise FileExistsError(f"{out} is there already.")
        part = out.with_name(f".{out.name}.part")
        try:
            self._download("export/file/", _choice(choice), part, told)
            if not zipfile.is_zipfile(part):
                raise Unreachable("The export broke off before its end. Nothing was kept; try again.")
            part.rename(out)
        finally:
            part.unlink(missing_ok=True)
        return out

    def _download(self, path: str, params: Mapping[str, Any], to: Path, told: Callable[[int], None] | None) -> None:
        answer = self.wire.begin("GET", f"{self.wire.url}/api/v1/{path}", params=params)
        try:
            with to.open("wb") as file:
                for piece in answer.iter_bytes(256 * 1024):
                    self.wire.check_stop()
                    file.write(piece)
                    if told:
                        told(file.tell())
        except httpx.TransportError as error:
            raise Unreachable(f"{why_not(error)} Nothing was kept; try again.") from error
        finally:
            answer.close()

    # -- pages ----------------------------------------------------------------------------------------------
    def _pages(self, path: str, params: Mapping[str, Any] | None = None) -> Iterator[Mapping[str, Any]]:
        page = 1
        while True:
            said = self.wire.api("GET", path, params={**(params or {}), "page": page, "page_size": _PAGE})
            yield from said["results"]
            if not said["next"]:
                return
            page += 1


def _choice(choice: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in choice.items() if value not in (None, "", [], ())}
