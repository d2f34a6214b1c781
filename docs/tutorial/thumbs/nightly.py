"""Put the service's schedules into the queue; may be run at each deployment."""

from __future__ import annotations

from store import queue

from persistentq import Schedule

queue.put_schedule(Schedule("tidy", "0 3 * * *", "thumbs.tidy", zone="Europe/Berlin", unique=True))
for info in queue.list_schedules():
    print(info.schedule.name, info.schedule.expression, info.schedule.zone)
