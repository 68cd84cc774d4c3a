"""The AD core: values, the tape, the sweeps over it. It knows neither trio nor the scheduler nor torch."""
