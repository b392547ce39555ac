from types import ModuleType

AVAILABLE: list[str]
LEVEL: str
MODULES: dict[str, str]
bounds: ModuleType
kernels: ModuleType
