"""One function per user journey: the only place that knows an order of steps."""
