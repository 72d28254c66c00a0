"""From a trial's specification to its record."""
