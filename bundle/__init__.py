"""The artefact between building and serving, and the merge that all sides share. numpy only."""

from bundle.errors import BundleError, InputError, NonnError, StorageError
from bundle.manifest import MAX_STUDENTS, FileEntry, InputSpec, Manifest, StudentEntry
from bundle.merge import Fill, Merger
from bundle.subsets import LossSummary, accuracy_by_lost, subset_accuracy, subset_mask, subset_members

__all__ = [
    "MAX_STUDENTS",
    "BundleError",
    "FileEntry",
    "Fill",
    "InputError",
    "InputSpec",
    "LossSummary",
    "Manifest",
    "Merger",
    "NonnError",
    "StorageError",
    "StudentEntry",
    "accuracy_by_lost",
    "subset_accuracy",
    "subset_mask",
    "subset_members",
]
