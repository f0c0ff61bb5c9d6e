"""Base of all writers of result objects: it writes them, checks them, and records what could not be written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

from pydicom import Dataset

from candor.dicom.check.write_checked import write_checked
from candor.dicom.shared.file import describe
from candor.files.privacy import cause_of
from candor.study.case import Case, CaseImage
from candor.study.errors import ObjectIncomplete
from candor.study.findings import Finding
from candor.study.profile import Profile
from candor.study.provenance import Provenance
from candor.study.result_object import Kind, ResultObject
from candor.words.texts import Texts
from operators.graph.base import CaseOperator, attempt, refuse
from operators.graph.publish import quarantine, staging
from operators.graph.sdk import Fragment


class ObjectWriter(CaseOperator):
    """Base of the operators that write objects of one kind.

    Named input:
        case: a study with results, and with the objects that those of this kind refer to.

    Named output:
        case: the same; ``written`` names the objects.

    Parameters
    ----------
    fragment
        The application.
    provenance
        What makes the objects.
    profiles
        What the receivers take; where none takes this kind, none is written.
    texts
        The language of the words in the objects.
    """

    makes: ClassVar[Kind]

    def __init__(
        self,
        fragment: Fragment,
        *args: Any,
        provenance: Provenance,
        profiles: Sequence[Profile],
        texts: Texts,
        **kwargs: Any,
    ) -> None:
        self.provenance = provenance
        self.texts = texts
        self.profiles = [profile for profile in dict.fromkeys(profiles) if self.makes in profile.kinds]
        super().__init__(fragment, *args, **kwargs)

    def store(
        self,
        case: Case,
        dataset: Dataset,
        name: str,
        *,
        finding: Finding | None = None,
        image: CaseImage | None = None,
        profiles: frozenset[str] | None = None,
    ) -> ResultObject:
        """Write an object into the study's folder and check it.

        Parameters
        ----------
        case
            The study.
        dataset
            The object.
        name
            Of its file.
        finding
            What it is about; None where it is about more than one finding.
        image
            The image that it belongs to; None where it is about the study.
        profiles
            Keys of the profiles that it is part of; None where it is part of all that take its kind.

        Returns
        -------
        What was written.

        Raises
        ------
        ObjectIncomplete
            The object lacks something and is in quarantine.
        """
        header = None if image is None else image.header
        write_checked(dataset, staging(case) / name, self.makes, quarantine(case), header)
        file = f"{case.output.name}/{name}"
        source = None if image is None else image.sop_instance_uid
        return describe(dataset, self.makes, file, finding=finding, source=source, profiles=profiles)

    def fail(self, case: Case, error: Exception) -> None:
        """Record that the stage failed; nothing of a study with an incomplete object is published.

        Parameters
        ----------
        case
            The study.
        error
            What went wrong.
        """
        if isinstance(error, ObjectIncomplete):
            case.incomplete, case.failure = error, str(error)
        else:
            super().fail(case, error)


class ImageObjectWriter(ObjectWriter):
    """Base of the writers whose objects belong to one image each, and are the same in every profile."""

    def work(self, case: Case) -> None:
        """Write the objects of one study; an image whose object fails is refused, and all its objects go."""
        if case.failure:
            return
        if self.profiles and case.study_instance_uid:
            self.write_all(case)
        self._drop_lost(case)

    def write_all(self, case: Case) -> None:
        """Write the objects of one study, each with :meth:`attempt_object`."""
        raise NotImplementedError

    def attempt_object(
        self, case: Case, image: CaseImage, build: Callable[[], Dataset], name: str, finding: Finding | None = None
    ) -> None:
        """Build and write one object, and refuse its image if that fails.

        An image that another of its objects has failed for is left alone.

        Parameters
        ----------
        case
            The study.
        image
            What the object is about.
        build
            Makes the object.
        name
            Of its file.
        finding
            What the object is about; None where it is about more than one finding.

        Raises
        ------
        ObjectIncomplete
            The object lacks something: that is a failure of the study, not of the image.
        """

        def store() -> None:
            case.written.append(self.store(case, build(), name, finding=finding, image=image))

        if image.assessed:
            attempt(store, on_failure=lambda error: self._lose(image, error))

    def _lose(self, image: CaseImage, error: Exception) -> None:
        if isinstance(error, ObjectIncomplete):
            raise error
        refuse(image, self.name, error)

    def _drop_lost(self, case: Case) -> None:
        """Remove all objects of images that are assessed no more: nothing else refers to them yet."""
        kept = {image.sop_instance_uid for image in case.assessed_images}
        for lost in [written for written in case.written if written.source not in kept]:
            (staging(case) / lost.file.rpartition("/")[2]).unlink()
            case.written.remove(lost)


class ProfileObjectWriter(ObjectWriter):
    """Base of the writers whose objects refer to those of one profile each.

    Profiles for which the object comes out the same, and so under the same SOP Instance UID, share one file.
    """

    what: ClassVar[str]
    """The object in words, for the failure: a study that lacks it is silent, so its results are not published."""

    def work(self, case: Case) -> None:
        """Write the objects of one study; files without a study, and a study that failed, get none."""
        if case.study_instance_uid and not case.failure:
            self.write_all(case)

    def write_all(self, case: Case) -> None:
        """Write the objects of one study, each group of one purpose with :meth:`write_once_each`."""
        raise NotImplementedError

    def write_once_each(self, case: Case, built: Iterable[tuple[Profile, Dataset]], name: str) -> list[ResultObject]:
        """Write one purpose's objects of all profiles, each SOP Instance UID once.

        Parameters
        ----------
        case
            The study.
        built
            Profiles with their objects.
        name
            The file's, without ``.dcm``; those after the first get a number.

        Returns
        -------
        The objects, with the keys of all profiles that each is part of.
        """
        distinct: dict[str, tuple[Dataset, set[str]]] = {}
        for profile, dataset in built:
            distinct.setdefault(dataset.SOPInstanceUID, (dataset, set()))[1].add(profile.key)
        return [
            self.store(case, dataset, f"{name}{f'-{number}' * (number > 1)}.dcm", profiles=frozenset(keys))
            for number, (dataset, keys) in enumerate(distinct.values(), start=1)
        ]

    def fail(self, case: Case, error: Exception) -> None:
        """Record that the study lacks its object.

        Parameters
        ----------
        case
            The study.
        error
            What went wrong.
        """
        if isinstance(error, ObjectIncomplete):
            super().fail(case, error)
        else:
            case.failure = f"the {self.what} could not be written: {cause_of(error)}"
