"""What a failed transaction's result says, in the names that Horizon gives to result codes."""

from stellar_sdk import xdr

_PREFIX = "PAYMENT_"


def result_codes(result_xdr: str) -> tuple[str, tuple[str, ...]]:
    """Code of the transaction, and of each of its operations where they have any. ValueError where it is no result.

    Of a fee bump, what is said of the transaction inside.
    """
    try:
        result = xdr.TransactionResult.from_xdr(result_xdr).result
    except Exception as error:  # the reader raises whatever its parts do
        raise ValueError("this is no transaction's result") from error
    inner = result.inner_result_pair
    code, operations = result.code.name, result.results
    if inner is not None:
        code, operations = inner.result.result.code.name, inner.result.result.results
    return f"tx_{code.removeprefix('tx').lower()}", tuple(_operation_code(one) for one in operations or ())


def _operation_code(operation: xdr.OperationResult) -> str:
    if operation.tr is None:
        return f"op_{operation.code.name.removeprefix('op').lower()}"
    payment = operation.tr.payment_result
    if payment is None:
        return "op_unknown"
    return f"op_{payment.code.name.removeprefix(_PREFIX).lower()}"
