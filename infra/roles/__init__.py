"""Roles: the long-running parts of the engine, each able to run alone or with others in one process."""

from infra.roles.process import run_roles

__all__ = ["run_roles"]
