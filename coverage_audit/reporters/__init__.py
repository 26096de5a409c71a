"""REPORT: AuditResult in, text out; never sees a run log."""
