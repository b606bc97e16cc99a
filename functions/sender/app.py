"""For each queued pair: judge it again, write one message, reserve, deliver once. For each question: answer it once."""

from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from relance import observability, outbox, wiring
from relance.clock import utc_now

processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
sender, answerer = wiring.sender()


def handler(event: dict[str, Any], context: Any) -> Any:
    """Answer with the messages the queue must bring again; all others are done."""
    remaining = context.get_remaining_time_in_millis
    started, budget = utc_now(), remaining()

    def follow_up(record: SQSRecord) -> None:
        with observability.record(record.message_id):
            asked = outbox.read(record.body)
            # One reading of the clock; the tenth message of a batch is judged as late as it really is.
            now = started + (budget - remaining()) // 1000
            if isinstance(asked, outbox.Ask):
                observability.answered(asked, answerer.answer(asked, now=now))
            else:
                observability.sent(asked, sender.send(asked, now=now, remaining_ms=remaining))

    with observability.invocation(context):
        return process_partial_response(event, follow_up, processor, context)
