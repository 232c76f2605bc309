"""The demo: a page on which a part is fitted and photographs are inspected, and its HTTP API."""
