//! Findings from objects as the API server gives them.
