"""The artefact between building and serving, and the merge that all sides share. numpy only."""

from bundle.bundle import Bundle, SelfTest
from bundle.errors import BundleError, InputError, NonnError, StorageError
from bundle.folder import read_files
from bundle.manifest import MAX_STUDENTS, FileEntry, InputSpec, Manifest, Precision, StudentEntry, TwinEntry
from bundle.merge import Fill, Merger
from bundle.place import check_target
from bundle.subsets import LossSummary, accuracy_by_lost, subset_accuracy, subset_mask, subset_members
from bundle.twinning import TwinContents, write_twins
from bundle.twins import Twins
from bundle.write import BundleContents, write_bundle

__all__ = [
    "MAX_STUDENTS",
    "Bundle",
    "BundleContents",
    "BundleError",
    "FileEntry",
    "Fill",
    "InputError",
    "InputSpec",
    "LossSummary",
    "Manifest",
    "Merger",
    "NonnError",
    "Precision",
    "SelfTest",
    "StorageError",
    "StudentEntry",
    "TwinContents",
    "TwinEntry",
    "Twins",
    "accuracy_by_lost",
    "check_target",
    "read_files",
    "subset_accuracy",
    "subset_mask",
    "subset_members",
    "write_bundle",
    "write_twins",
]
