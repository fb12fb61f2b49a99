"""HTTP exchange: a request now, its outcome later, over HTTP; a transitional step with a recorded way out (A48-A69)."""
