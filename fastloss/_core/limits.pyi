OPERATIONS: dict[str, int]
ADDRESSES: tuple[int, int]
