//! Caching: which responses a request may share, and how long a stored response is used.
