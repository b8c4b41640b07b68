"""What must not leave in public: other people, addresses, phones, places; taken out, and looked for once more."""
from __future__ import annotations

from twin.public.hit import Hit as Hit
from twin.public.level import hidden as hidden
from twin.public.level import public as public
from twin.public.scanning import check as check
from twin.public.scanning import scan as scan
