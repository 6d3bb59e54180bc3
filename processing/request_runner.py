"""Request triggers: one call of the plugin a request, on the thread of the request.

Requests to one trigger wait for each other, unless it runs asynchronously; the number that may wait is bounded.
"""

from __future__ import annotations

from threading import Semaphore

from headrace.processing.errors import TriggerBusy
from headrace.processing.run import PluginResponse, RequestCall
from headrace.processing.runner import Runner, RunnerContext
from headrace.processing.settings import ErrorBehavior
from headrace.processing.trigger import Trigger
from headrace.processing.worker_pool import WorkerPool


class RequestRunner(Runner):
    """See the module's docstring."""

    def __init__(self, trigger: Trigger, pool: WorkerPool, context: RunnerContext) -> None:
        super().__init__(trigger, pool, context)
        self._places = Semaphore(pool.size + context.settings.request_queue)

    def handle(self, call: RequestCall) -> PluginResponse:
        """The plugin's answer, its writes stored before it is given.

        Raises TriggerBusy when too many requests wait, RunFailed when the plugin did.
        """
        if not self._places.acquire(blocking=False):
            raise TriggerBusy(f"too many requests wait for trigger '{self.trigger.name}'; retry later")
        try:
            outcome = self._run(call)
            if outcome.error is not None:
                if self.trigger.settings.error_behavior is ErrorBehavior.DISABLE:
                    self._context.disable(self.trigger, outcome.error.message)
                raise outcome.error
            self._commit(outcome.writes, None)
            return outcome.response or PluginResponse(200, {}, b"")
        finally:
            self._places.release()
