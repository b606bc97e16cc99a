"""Erases what people want erased: from its queue, and through Meta's callbacks at its own URL."""

from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from relance import erasures, observability, wiring
from relance.clock import utc_now

processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
erase = wiring.eraser()
callbacks = wiring.callbacks()


def handler(event: dict[str, Any], context: Any) -> Any:
    """A request of the Function URL is answered; a batch of the queue is answered with what must come again."""
    with observability.invocation(context):
        if "Records" not in event:
            return callbacks.answer(event)
        return process_partial_response(event, erasure, processor, context)


def erasure(record: SQSRecord) -> None:
    """Carry out one erasure of the queue."""
    with observability.record(record.message_id):
        erased = erase(erasures.read(record.body), now=utc_now())
        observability.count("TextsErased", erased.texts)
        observability.count("PeopleForgotten", erased.people)
