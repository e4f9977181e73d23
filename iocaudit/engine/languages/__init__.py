"""Rules written in Rego and CEL, behind one Evaluator with a deadline."""
