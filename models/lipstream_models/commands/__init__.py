"""Commands of `lipstream` that work on models: analyse, convert, evaluate, plan and tune."""
