"""The project's own encoders: one file for each family, which registers its variants when it is imported.

The registry imports this folder when it is first asked for a name.
"""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
