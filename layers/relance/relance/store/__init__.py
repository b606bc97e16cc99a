"""DynamoDB: the three tables and the exact requests relance makes to them."""
