"""What Supervisor loads into supervisord itself, so that processes can be added and removed without a restart.

```ini
[rpcinterface:persistentq]
supervisor.rpcinterface_factory=persistentq.supervision:make_rpc_interface
```

Supervisor's own interface can only take a group of processes away as a whole and start it anew. This one reaches into
Supervisor's internals for that, so it is for the releases that the extra `supervisor` installs.
"""

from __future__ import annotations

from typing import Any

from supervisor.events import ProcessStateStoppedEvent, subscribe
from supervisor.options import ProcessGroupConfig
from supervisor.rpcinterface import SupervisorNamespaceRPCInterface
from supervisor.states import STOPPED_STATES
from supervisor.xmlrpc import Faults, RPCError

API_VERSION = "1.0"


class PersistentqNamespaceRPCInterface:
    """The RPC namespace `persistentq` of a running supervisord.

    Args:
        supervisord: The running Supervisor.
    """

    def __init__(self, supervisord: Any) -> None:
        self._supervisord = supervisord
        self._supervisor = SupervisorNamespaceRPCInterface(supervisord)
        self._leaving: list[Any] = []
        subscribe(ProcessStateStoppedEvent, self._note_stopped)

    # Supervisor shows the docstrings of these to its clients, and reads their types from them.

    def getAPIVersion(self) -> str:  # noqa: N802 - as Supervisor's own
        """Return the version of this interface.

        @return string version version
        """
        self._supervisor._update("getAPIVersion")  # noqa: SLF001 - refuses while supervisord shuts down
        return API_VERSION

    def applyNumprocs(self, name: str) -> dict[str, list[str]]:  # noqa: N802
        """Take over the number of processes that the configuration file now says of a program.

        The missing ones are started, the surplus ones are told to stop and disappear when they have; the others are
        left alone, whatever else has changed in the file: `supervisorctl update` still finds that. May be repeated.

        @param string name   The name of the program, which is that of its group.
        @return struct result  The names of the processes: `added`, `removed` and `kept`.
        """
        self._supervisor._update("applyNumprocs")  # noqa: SLF001
        self._supervisor.reloadConfig()
        group = self._supervisord.process_groups.get(name)
        read = self._supervisord.options.process_group_configs
        fresh = next((config for config in read if config.name == name), None)
        if group is None or type(fresh) is not ProcessGroupConfig:
            raise RPCError(Faults.BAD_NAME, name)
        return self._apply(group, fresh)

    def _apply(self, group: Any, fresh: Any) -> dict[str, list[str]]:
        known = {config.name: config for config in group.config.process_configs}
        wanted = {config.name: known.get(config.name, config) for config in fresh.process_configs}
        there = set(group.processes)
        # Those that stay keep their present configuration, so that `update` still sees what else is different.
        group.config = ProcessGroupConfig(
            group.config.options, group.config.name, group.config.priority, list(wanted.values())
        )
        for name in wanted.keys() - there:
            self._add(group, wanted[name])
        for name in there - wanted.keys():
            self._remove(group, group.processes[name])
        return {
            "added": sorted(wanted.keys() - there),
            "removed": sorted(there - wanted.keys()),
            "kept": sorted(wanted.keys() & there),
        }

    def _add(self, group: Any, config: Any) -> None:
        config.create_autochildlogs()
        # As it has never been started, supervisord starts it at its next look.
        group.processes[config.name] = config.make_process(group)

    def _remove(self, group: Any, process: Any) -> None:
        if process.get_state() in STOPPED_STATES:
            del group.processes[process.config.name]
            return
        self._leaving.append(process)
        process.stop()

    def _note_stopped(self, event: Any) -> None:
        process, group = event.process, event.process.group
        # Not `in`: Supervisor's processes are equal when their priorities are.
        if not any(one is process for one in self._leaving):
            return
        self._leaving = [one for one in self._leaving if one is not process]
        name = process.config.name
        if group.processes.get(name) is not process:
            return
        del group.processes[name]
        # It may be wanted again by now.
        for config in group.config.process_configs:
            if config.name == name:
                self._add(group, config)


def make_rpc_interface(supervisord: Any, **_: str) -> PersistentqNamespaceRPCInterface:
    """Return the interface; what `supervisor.rpcinterface_factory` names."""
    return PersistentqNamespaceRPCInterface(supervisord)
