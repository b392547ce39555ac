from types import ModuleType

AVAILABLE: list[str]
LEVEL: str
kernels: ModuleType
