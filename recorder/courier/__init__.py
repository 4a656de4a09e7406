"""The courier: every delivery that is owed reaches its destination at least once, or can be seen to be dead. One destination never delays another."""

from recorder.courier.configured import Configured, configured
from recorder.courier.courier import Courier
from recorder.courier.status import DestinationStatus, Lag, TestResult
from recorder.courier.transforms import transform_called

__all__ = ["Configured", "Courier", "DestinationStatus", "Lag", "TestResult", "configured", "transform_called"]
