"""What must not leave in public: other people, employers, addresses, phones, places; taken out, looked for again."""
from __future__ import annotations

from twin.public.hit import Hit as Hit
from twin.public.level import Copy as Copy
from twin.public.level import copied as copied
from twin.public.level import hidden as hidden
from twin.public.level import public as public
from twin.public.owner import owner_names as owner_names
from twin.public.scanning import check as check
from twin.public.scanning import scan as scan
