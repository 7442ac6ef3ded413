"""`python3 -m skypanel.manage.cluster.migrate`: the database of a cluster, from inside its network."""

from __future__ import annotations

from skypanel.instance import read_instance
from skypanel.manage.prepare import prepare_database
from skypanel.settings import Settings


def main() -> None:
    settings = Settings()
    instance = read_instance(settings.data_dir)
    if instance is None:
        raise SystemExit(f"There is no platform in {settings.data_dir}; `skypanel cluster init` makes one.")
    prepare_database(settings, instance)
    print("The database is at the newest revision.")


if __name__ == "__main__":
    main()
