"""Reports and threat models as pages, tables and machine formats: one file per format, each with a pure `render`."""
