"""Where the engines differ from what AWS documents, as far as relance could notice: held, so that no page goes stale.

docs/reliability.md has the same list with AWS's pages. An engine that learns better fails here, and the page is mended.
"""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.engines import NOW, Engine

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"


def put(engine: Engine, user: str = "u", **attributes: Any) -> dict[str, Any]:
    """A row of the pairs table, for bot 1."""
    item = {"user": {"S": user}, "bot": {"S": "1"}, **attributes}
    return engine.client.put_item(
        TableName=engine.tables["Pairs"], Item=item, ReturnConsumedCapacity="INDEXES"
    )["ConsumedCapacity"]  # fmt: skip


def refuses(act: Callable[[], Any], code: str = "ValidationException") -> bool:
    """Whether DynamoDB says no to this."""
    try:
        act()
    except ClientError as error:
        return error.response["Error"]["Code"] == code
    return False


def index_key_of_the_wrong_type(engine: Engine) -> bool:
    return refuses(lambda: put(engine, due_shard={"S": "00"}, due_at={"S": "soon"}))


def consistent_read_of_an_index(engine: Engine) -> bool:
    return refuses(lambda: query_index(engine, ConsistentRead=True))


def attributes_that_the_index_does_not_hold(engine: Engine) -> bool:
    return refuses(lambda: query_index(engine, Select="ALL_ATTRIBUTES"))


def query_index(engine: Engine, **more: Any) -> Any:
    return engine.client.query(
        TableName=engine.tables["Pairs"],
        IndexName="due",
        KeyConditionExpression="due_shard = :s",
        ExpressionAttributeValues={":s": {"S": "00"}},
        **more,
    )


def two_paths_that_overlap(engine: Engine) -> bool:
    return refuses(
        lambda: engine.client.update_item(
            TableName=engine.tables["Pairs"],
            Key={"user": {"S": "u"}, "bot": {"S": "1"}},
            UpdateExpression="SET a = :m, a.b = :n",
            ExpressionAttributeValues={":m": {"M": {}}, ":n": {"N": "1"}},
        )
    )


def more_keys_than_a_batch_takes(engine: Engine) -> bool:
    keys = [{"user": {"S": f"u{i}"}, "bot": {"S": "1"}} for i in range(101)]
    return refuses(lambda: engine.client.batch_get_item(RequestItems={engine.tables["Pairs"]: {"Keys": keys}}))


def an_item_of_just_400_kb(engine: Engine) -> bool:
    """Names and values together: 409,600 bytes are taken, one more is not."""
    room = 409_600 - len("useruid" + "bot1" + "text")
    return [refuses(lambda more=more: put(engine, "uid", text={"S": "x" * (room + more)})) for more in (0, 1)] == [
        False,
        True,
    ]


def an_empty_key(engine: Engine) -> bool:
    return refuses(lambda: put(engine, ""))


def index_writes_are_counted(engine: Engine) -> bool:
    outside = put(engine, "counted")
    inside = put(engine, "counted", due_shard={"S": "00"}, due_at={"N": str(NOW)})
    moved = put(engine, "counted", due_shard={"S": "00"}, due_at={"N": str(NOW + 1)})

    def index(answer: dict[str, Any]) -> float:
        return answer.get("GlobalSecondaryIndexes", {}).get("due", {}).get("CapacityUnits", 0)

    return [index(each) for each in (outside, inside, moved)] == [0, 1, 2]


def a_transaction_costs_twice(engine: Engine) -> bool:
    item = {"user": {"S": "t"}, "bot": {"S": "1"}}
    answer = engine.client.transact_write_items(
        TransactItems=[{"Put": {"TableName": engine.tables["Pairs"], "Item": item}}], ReturnConsumedCapacity="TOTAL"
    )
    return [each["CapacityUnits"] for each in answer["ConsumedCapacity"]] == [2]


def a_read_costs_by_size(engine: Engine) -> bool:
    put(engine, "large", text={"S": "x" * 9_000})
    answer = engine.client.get_item(
        TableName=engine.tables["Pairs"],
        Key={"user": {"S": "large"}, "bot": {"S": "1"}},
        ConsistentRead=True,
        ReturnConsumedCapacity="TOTAL",
    )
    return answer["ConsumedCapacity"]["CapacityUnits"] == 3


def a_transaction_sent_twice_with_one_token(engine: Engine) -> bool:
    """botocore gives each transaction a token and repeats it when an answer is lost."""
    put(engine, "twice", n={"N": "0"})
    update = {
        "TableName": engine.tables["Pairs"],
        "Key": {"user": {"S": "twice"}, "bot": {"S": "1"}},
        "UpdateExpression": "ADD n :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }
    token = uuid.uuid4().hex
    for _ in range(2):
        engine.client.transact_write_items(TransactItems=[{"Update": update}], ClientRequestToken=token)
    return [row["n"] for row in engine.rows("Pairs") if row["user"] == "twice"] == [1]


def two_actions_on_one_item_in_a_transaction(engine: Engine) -> bool:
    item = {"user": {"S": "t"}, "bot": {"S": "1"}}
    twice = [{"Put": {"TableName": engine.tables["Pairs"], "Item": item}}] * 2
    return refuses(lambda: engine.client.transact_write_items(TransactItems=twice))


BOTH, MOTO, MINISTACK, NEITHER = {"moto", "ministack"}, {"moto"}, {"ministack"}, set[str]()

# What is tried, and which engines do as AWS documents.
CASES: tuple[tuple[Callable[[Engine], bool], set[str]], ...] = (
    (index_key_of_the_wrong_type, MINISTACK),
    (consistent_read_of_an_index, BOTH),
    (attributes_that_the_index_does_not_hold, MOTO),
    (two_paths_that_overlap, BOTH),
    (more_keys_than_a_batch_takes, BOTH),
    (an_item_of_just_400_kb, MINISTACK),
    (an_empty_key, BOTH),
    (index_writes_are_counted, MINISTACK),
    (a_transaction_costs_twice, MINISTACK),
    (a_read_costs_by_size, NEITHER),
    (a_transaction_sent_twice_with_one_token, MINISTACK),
    (two_actions_on_one_item_in_a_transaction, BOTH),
)


@pytest.mark.parametrize(("documented", "engines"), CASES, ids=lambda value: getattr(value, "__name__", ""))
def test_each_engine_keeps_to_aws_or_differs_as_the_page_says(engine, documented, engines):
    """A difference that went away is news as well."""
    if engine.name not in BOTH:
        pytest.skip(f"{engine.name} is a second opinion: its differences are not tabled")

    assert documented(engine) is (engine.name in engines)


@pytest.mark.parametrize(("documented", "engines"), CASES, ids=lambda value: getattr(value, "__name__", ""))
def test_the_page_lists_every_case(documented, engines):
    """With a yes or a no for moto and for ministack."""
    words = documented.__name__.replace("_", " ")
    (row,) = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.lower().startswith(f"| {words} |")]

    said = dict(zip(("moto", "ministack"), (cell.strip() for cell in row.split("|")[2:4]), strict=True))

    assert said == {name: "as AWS" if name in engines else "differs" for name in ("moto", "ministack")}
