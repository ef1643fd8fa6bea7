"""The methods that the evaluation compares; `registry` names them all."""
