from typing import Any

# capsules of the C functions, by name
__pyx_capi__: dict[str, Any]
