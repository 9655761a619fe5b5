"""A twin of proxy/passwords.py without a database."""

from dataclasses import dataclass, field


@dataclass
class OnePassword:
    """Number 1, until it is revoked. `notes` are the uses."""

    password: str = field(repr=False)
    revoked: bool = False
    notes: list[str] = field(default_factory=list)

    def fitting(self, password: bytes) -> int | None:
        return 1 if password == self.password.encode() and not self.revoked else None

    def note(self, number: int, now: int, program: str) -> None:
        assert number == 1
        self.notes.append(program)

    def ids(self) -> frozenset[int]:
        return frozenset() if self.revoked else frozenset({1})

    def version(self) -> int:
        return int(self.revoked)
