"""relance: lets a chatbot write first, once, when a conversation that mattered has gone quiet."""
