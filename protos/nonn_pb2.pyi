from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DataType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DATA_TYPE_UNSPECIFIED: _ClassVar[DataType]
    UINT8: _ClassVar[DataType]
    FLOAT32: _ClassVar[DataType]

class RefusalCode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REFUSAL_CODE_UNSPECIFIED: _ClassVar[RefusalCode]
    BUNDLE_MISMATCH: _ClassVar[RefusalCode]
    BUDGET_PASSED: _ClassVar[RefusalCode]
    OVERLOADED: _ClassVar[RefusalCode]
    BAD_INPUT: _ClassVar[RefusalCode]
    FAILED: _ClassVar[RefusalCode]

class Precision(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRECISION_UNSPECIFIED: _ClassVar[Precision]
    FP32: _ClassVar[Precision]
    INT8: _ClassVar[Precision]

class Policy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    POLICY_UNSPECIFIED: _ClassVar[Policy]
    ALL: _ClassVar[Policy]
    COVERED: _ClassVar[Policy]
    QUORUM: _ClassVar[Policy]

class DeviceState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DEVICE_STATE_UNSPECIFIED: _ClassVar[DeviceState]
    LOADING: _ClassVar[DeviceState]
    SERVING: _ClassVar[DeviceState]
    SUSPECT: _ClassVar[DeviceState]
    LEAVING: _ClassVar[DeviceState]
    IDLE: _ClassVar[DeviceState]
    STALLED: _ClassVar[DeviceState]
DATA_TYPE_UNSPECIFIED: DataType
UINT8: DataType
FLOAT32: DataType
REFUSAL_CODE_UNSPECIFIED: RefusalCode
BUNDLE_MISMATCH: RefusalCode
BUDGET_PASSED: RefusalCode
OVERLOADED: RefusalCode
BAD_INPUT: RefusalCode
FAILED: RefusalCode
PRECISION_UNSPECIFIED: Precision
FP32: Precision
INT8: Precision
POLICY_UNSPECIFIED: Policy
ALL: Policy
COVERED: Policy
QUORUM: Policy
DEVICE_STATE_UNSPECIFIED: DeviceState
LOADING: DeviceState
SERVING: DeviceState
SUSPECT: DeviceState
LEAVING: DeviceState
IDLE: DeviceState
STALLED: DeviceState

class Tensor(_message.Message):
    __slots__ = ("type", "shape", "data")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    type: DataType
    shape: _containers.RepeatedScalarFieldContainer[int]
    data: bytes
    def __init__(self, type: _Optional[_Union[DataType, str]] = ..., shape: _Optional[_Iterable[int]] = ..., data: _Optional[bytes] = ...) -> None: ...

class DeviceMessage(_message.Message):
    __slots__ = ("hello", "ready", "partial", "refusal", "pong", "leaving", "partials")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    PARTIAL_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    PONG_FIELD_NUMBER: _ClassVar[int]
    LEAVING_FIELD_NUMBER: _ClassVar[int]
    PARTIALS_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    ready: Ready
    partial: Partial
    refusal: Refusal
    pong: Pong
    leaving: Leaving
    partials: Partials
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., ready: _Optional[_Union[Ready, _Mapping]] = ..., partial: _Optional[_Union[Partial, _Mapping]] = ..., refusal: _Optional[_Union[Refusal, _Mapping]] = ..., pong: _Optional[_Union[Pong, _Mapping]] = ..., leaving: _Optional[_Union[Leaving, _Mapping]] = ..., partials: _Optional[_Union[Partials, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("device_id", "name", "protocol_version", "architecture", "memory_bytes", "cores", "speed", "cached_digests", "software_version", "measured", "parallel")
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    ARCHITECTURE_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    CORES_FIELD_NUMBER: _ClassVar[int]
    SPEED_FIELD_NUMBER: _ClassVar[int]
    CACHED_DIGESTS_FIELD_NUMBER: _ClassVar[int]
    SOFTWARE_VERSION_FIELD_NUMBER: _ClassVar[int]
    MEASURED_FIELD_NUMBER: _ClassVar[int]
    PARALLEL_FIELD_NUMBER: _ClassVar[int]
    device_id: str
    name: str
    protocol_version: int
    architecture: str
    memory_bytes: int
    cores: int
    speed: float
    cached_digests: _containers.RepeatedScalarFieldContainer[str]
    software_version: str
    measured: _containers.RepeatedCompositeFieldContainer[Measured]
    parallel: int
    def __init__(self, device_id: _Optional[str] = ..., name: _Optional[str] = ..., protocol_version: _Optional[int] = ..., architecture: _Optional[str] = ..., memory_bytes: _Optional[int] = ..., cores: _Optional[int] = ..., speed: _Optional[float] = ..., cached_digests: _Optional[_Iterable[str]] = ..., software_version: _Optional[str] = ..., measured: _Optional[_Iterable[_Union[Measured, _Mapping]]] = ..., parallel: _Optional[int] = ...) -> None: ...

class Measured(_message.Message):
    __slots__ = ("sha256", "milliseconds")
    SHA256_FIELD_NUMBER: _ClassVar[int]
    MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    milliseconds: float
    def __init__(self, sha256: _Optional[str] = ..., milliseconds: _Optional[float] = ...) -> None: ...

class Ready(_message.Message):
    __slots__ = ("bundle_id", "student", "self_test_passed", "load_seconds", "error", "speed", "assignment", "milliseconds", "precision")
    BUNDLE_ID_FIELD_NUMBER: _ClassVar[int]
    STUDENT_FIELD_NUMBER: _ClassVar[int]
    SELF_TEST_PASSED_FIELD_NUMBER: _ClassVar[int]
    LOAD_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    SPEED_FIELD_NUMBER: _ClassVar[int]
    ASSIGNMENT_FIELD_NUMBER: _ClassVar[int]
    MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    bundle_id: str
    student: int
    self_test_passed: bool
    load_seconds: float
    error: str
    speed: float
    assignment: int
    milliseconds: float
    precision: Precision
    def __init__(self, bundle_id: _Optional[str] = ..., student: _Optional[int] = ..., self_test_passed: bool = ..., load_seconds: _Optional[float] = ..., error: _Optional[str] = ..., speed: _Optional[float] = ..., assignment: _Optional[int] = ..., milliseconds: _Optional[float] = ..., precision: _Optional[_Union[Precision, str]] = ...) -> None: ...

class Partial(_message.Message):
    __slots__ = ("bundle_id", "work_id", "student", "logits", "queue_seconds", "compute_seconds")
    BUNDLE_ID_FIELD_NUMBER: _ClassVar[int]
    WORK_ID_FIELD_NUMBER: _ClassVar[int]
    STUDENT_FIELD_NUMBER: _ClassVar[int]
    LOGITS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    bundle_id: str
    work_id: int
    student: int
    logits: Tensor
    queue_seconds: float
    compute_seconds: float
    def __init__(self, bundle_id: _Optional[str] = ..., work_id: _Optional[int] = ..., student: _Optional[int] = ..., logits: _Optional[_Union[Tensor, _Mapping]] = ..., queue_seconds: _Optional[float] = ..., compute_seconds: _Optional[float] = ...) -> None: ...

class Partials(_message.Message):
    __slots__ = ("partials",)
    PARTIALS_FIELD_NUMBER: _ClassVar[int]
    partials: _containers.RepeatedCompositeFieldContainer[Partial]
    def __init__(self, partials: _Optional[_Iterable[_Union[Partial, _Mapping]]] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("work_id", "student", "code", "reason")
    WORK_ID_FIELD_NUMBER: _ClassVar[int]
    STUDENT_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    work_id: int
    student: int
    code: RefusalCode
    reason: str
    def __init__(self, work_id: _Optional[int] = ..., student: _Optional[int] = ..., code: _Optional[_Union[RefusalCode, str]] = ..., reason: _Optional[str] = ...) -> None: ...

class Pong(_message.Message):
    __slots__ = ("sequence",)
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    def __init__(self, sequence: _Optional[int] = ...) -> None: ...

class Leaving(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class AggregatorMessage(_message.Message):
    __slots__ = ("welcome", "assignment", "work", "ping", "drain", "sent_seconds")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    ASSIGNMENT_FIELD_NUMBER: _ClassVar[int]
    WORK_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    SENT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    assignment: Assignment
    work: Work
    ping: Ping
    drain: Drain
    sent_seconds: float
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., assignment: _Optional[_Union[Assignment, _Mapping]] = ..., work: _Optional[_Union[Work, _Mapping]] = ..., ping: _Optional[_Union[Ping, _Mapping]] = ..., drain: _Optional[_Union[Drain, _Mapping]] = ..., sent_seconds: _Optional[float] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("protocol_version", "ping_seconds", "window", "takes_partials")
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    PING_SECONDS_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    TAKES_PARTIALS_FIELD_NUMBER: _ClassVar[int]
    protocol_version: int
    ping_seconds: float
    window: int
    takes_partials: bool
    def __init__(self, protocol_version: _Optional[int] = ..., ping_seconds: _Optional[float] = ..., window: _Optional[int] = ..., takes_partials: bool = ...) -> None: ...

class Assignment(_message.Message):
    __slots__ = ("students", "number")
    STUDENTS_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    students: _containers.RepeatedCompositeFieldContainer[AssignedStudent]
    number: int
    def __init__(self, students: _Optional[_Iterable[_Union[AssignedStudent, _Mapping]]] = ..., number: _Optional[int] = ...) -> None: ...

class AssignedStudent(_message.Message):
    __slots__ = ("bundle_id", "student", "part", "sha256", "bytes", "multiply_adds", "self_test_images", "self_test_logits", "int8")
    BUNDLE_ID_FIELD_NUMBER: _ClassVar[int]
    STUDENT_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    MULTIPLY_ADDS_FIELD_NUMBER: _ClassVar[int]
    SELF_TEST_IMAGES_FIELD_NUMBER: _ClassVar[int]
    SELF_TEST_LOGITS_FIELD_NUMBER: _ClassVar[int]
    INT8_FIELD_NUMBER: _ClassVar[int]
    bundle_id: str
    student: int
    part: int
    sha256: str
    bytes: int
    multiply_adds: int
    self_test_images: Tensor
    self_test_logits: Tensor
    int8: AssignedTwin
    def __init__(self, bundle_id: _Optional[str] = ..., student: _Optional[int] = ..., part: _Optional[int] = ..., sha256: _Optional[str] = ..., bytes: _Optional[int] = ..., multiply_adds: _Optional[int] = ..., self_test_images: _Optional[_Union[Tensor, _Mapping]] = ..., self_test_logits: _Optional[_Union[Tensor, _Mapping]] = ..., int8: _Optional[_Union[AssignedTwin, _Mapping]] = ...) -> None: ...

class AssignedTwin(_message.Message):
    __slots__ = ("sha256", "bytes", "self_test_logits", "tolerance")
    SHA256_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    SELF_TEST_LOGITS_FIELD_NUMBER: _ClassVar[int]
    TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    bytes: int
    self_test_logits: Tensor
    tolerance: float
    def __init__(self, sha256: _Optional[str] = ..., bytes: _Optional[int] = ..., self_test_logits: _Optional[_Union[Tensor, _Mapping]] = ..., tolerance: _Optional[float] = ...) -> None: ...

class Work(_message.Message):
    __slots__ = ("bundle_id", "work_id", "budget_seconds", "images")
    BUNDLE_ID_FIELD_NUMBER: _ClassVar[int]
    WORK_ID_FIELD_NUMBER: _ClassVar[int]
    BUDGET_SECONDS_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    bundle_id: str
    work_id: int
    budget_seconds: float
    images: Tensor
    def __init__(self, bundle_id: _Optional[str] = ..., work_id: _Optional[int] = ..., budget_seconds: _Optional[float] = ..., images: _Optional[_Union[Tensor, _Mapping]] = ...) -> None: ...

class Ping(_message.Message):
    __slots__ = ("sequence",)
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    def __init__(self, sequence: _Optional[int] = ...) -> None: ...

class Drain(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class FetchStudentRequest(_message.Message):
    __slots__ = ("sha256",)
    SHA256_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    def __init__(self, sha256: _Optional[str] = ...) -> None: ...

class Chunk(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class PredictRequest(_message.Message):
    __slots__ = ("images", "strict", "bundle_id", "policy", "quorum")
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    STRICT_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_ID_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    QUORUM_FIELD_NUMBER: _ClassVar[int]
    images: Tensor
    strict: bool
    bundle_id: str
    policy: Policy
    quorum: int
    def __init__(self, images: _Optional[_Union[Tensor, _Mapping]] = ..., strict: bool = ..., bundle_id: _Optional[str] = ..., policy: _Optional[_Union[Policy, str]] = ..., quorum: _Optional[int] = ...) -> None: ...

class PredictResponse(_message.Message):
    __slots__ = ("logits", "bundle_id", "answered", "missing", "degraded", "expected_accuracy")
    LOGITS_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_ID_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_ACCURACY_FIELD_NUMBER: _ClassVar[int]
    logits: Tensor
    bundle_id: str
    answered: _containers.RepeatedScalarFieldContainer[int]
    missing: _containers.RepeatedScalarFieldContainer[int]
    degraded: bool
    expected_accuracy: float
    def __init__(self, logits: _Optional[_Union[Tensor, _Mapping]] = ..., bundle_id: _Optional[str] = ..., answered: _Optional[_Iterable[int]] = ..., missing: _Optional[_Iterable[int]] = ..., degraded: bool = ..., expected_accuracy: _Optional[float] = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatusResponse(_message.Message):
    __slots__ = ("bundle_id", "bundle_name", "input_shape", "labels", "students", "devices", "expected_accuracy", "answered", "degraded", "refused", "dropped_messages", "software_version", "uptime_seconds", "staged_bundle_id", "clock_seconds")
    BUNDLE_ID_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_NAME_FIELD_NUMBER: _ClassVar[int]
    INPUT_SHAPE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    STUDENTS_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_ACCURACY_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    DROPPED_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    SOFTWARE_VERSION_FIELD_NUMBER: _ClassVar[int]
    UPTIME_SECONDS_FIELD_NUMBER: _ClassVar[int]
    STAGED_BUNDLE_ID_FIELD_NUMBER: _ClassVar[int]
    CLOCK_SECONDS_FIELD_NUMBER: _ClassVar[int]
    bundle_id: str
    bundle_name: str
    input_shape: _containers.RepeatedScalarFieldContainer[int]
    labels: _containers.RepeatedScalarFieldContainer[str]
    students: _containers.RepeatedCompositeFieldContainer[StudentStatus]
    devices: _containers.RepeatedCompositeFieldContainer[DeviceStatus]
    expected_accuracy: float
    answered: int
    degraded: int
    refused: int
    dropped_messages: int
    software_version: str
    uptime_seconds: float
    staged_bundle_id: str
    clock_seconds: float
    def __init__(self, bundle_id: _Optional[str] = ..., bundle_name: _Optional[str] = ..., input_shape: _Optional[_Iterable[int]] = ..., labels: _Optional[_Iterable[str]] = ..., students: _Optional[_Iterable[_Union[StudentStatus, _Mapping]]] = ..., devices: _Optional[_Iterable[_Union[DeviceStatus, _Mapping]]] = ..., expected_accuracy: _Optional[float] = ..., answered: _Optional[int] = ..., degraded: _Optional[int] = ..., refused: _Optional[int] = ..., dropped_messages: _Optional[int] = ..., software_version: _Optional[str] = ..., uptime_seconds: _Optional[float] = ..., staged_bundle_id: _Optional[str] = ..., clock_seconds: _Optional[float] = ...) -> None: ...

class StudentStatus(_message.Message):
    __slots__ = ("student", "part", "device_ids", "sha256", "bytes")
    STUDENT_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    DEVICE_IDS_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    student: int
    part: int
    device_ids: _containers.RepeatedScalarFieldContainer[str]
    sha256: str
    bytes: int
    def __init__(self, student: _Optional[int] = ..., part: _Optional[int] = ..., device_ids: _Optional[_Iterable[str]] = ..., sha256: _Optional[str] = ..., bytes: _Optional[int] = ...) -> None: ...

class DeviceStatus(_message.Message):
    __slots__ = ("device_id", "name", "architecture", "state", "assigned", "serving", "last_seen_seconds", "latency_seconds", "completed", "error", "memory_bytes", "cores", "speed", "served")
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ARCHITECTURE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ASSIGNED_FIELD_NUMBER: _ClassVar[int]
    SERVING_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    LATENCY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    CORES_FIELD_NUMBER: _ClassVar[int]
    SPEED_FIELD_NUMBER: _ClassVar[int]
    SERVED_FIELD_NUMBER: _ClassVar[int]
    device_id: str
    name: str
    architecture: str
    state: DeviceState
    assigned: _containers.RepeatedScalarFieldContainer[int]
    serving: _containers.RepeatedScalarFieldContainer[int]
    last_seen_seconds: float
    latency_seconds: float
    completed: int
    error: str
    memory_bytes: int
    cores: int
    speed: float
    served: _containers.RepeatedCompositeFieldContainer[ServedStudent]
    def __init__(self, device_id: _Optional[str] = ..., name: _Optional[str] = ..., architecture: _Optional[str] = ..., state: _Optional[_Union[DeviceState, str]] = ..., assigned: _Optional[_Iterable[int]] = ..., serving: _Optional[_Iterable[int]] = ..., last_seen_seconds: _Optional[float] = ..., latency_seconds: _Optional[float] = ..., completed: _Optional[int] = ..., error: _Optional[str] = ..., memory_bytes: _Optional[int] = ..., cores: _Optional[int] = ..., speed: _Optional[float] = ..., served: _Optional[_Iterable[_Union[ServedStudent, _Mapping]]] = ...) -> None: ...

class ServedStudent(_message.Message):
    __slots__ = ("student", "milliseconds", "precision")
    STUDENT_FIELD_NUMBER: _ClassVar[int]
    MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    student: int
    milliseconds: float
    precision: Precision
    def __init__(self, student: _Optional[int] = ..., milliseconds: _Optional[float] = ..., precision: _Optional[_Union[Precision, str]] = ...) -> None: ...

class ReloadRequest(_message.Message):
    __slots__ = ("manifest", "piece")
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    PIECE_FIELD_NUMBER: _ClassVar[int]
    manifest: bytes
    piece: FilePiece
    def __init__(self, manifest: _Optional[bytes] = ..., piece: _Optional[_Union[FilePiece, _Mapping]] = ...) -> None: ...

class FilePiece(_message.Message):
    __slots__ = ("sha256", "data")
    SHA256_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    data: bytes
    def __init__(self, sha256: _Optional[str] = ..., data: _Optional[bytes] = ...) -> None: ...

class ReloadResponse(_message.Message):
    __slots__ = ("bundle_id", "previous_bundle_id", "devices")
    BUNDLE_ID_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_BUNDLE_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    bundle_id: str
    previous_bundle_id: str
    devices: int
    def __init__(self, bundle_id: _Optional[str] = ..., previous_bundle_id: _Optional[str] = ..., devices: _Optional[int] = ...) -> None: ...
