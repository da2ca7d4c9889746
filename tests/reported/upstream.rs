//! The path to Graph: addresses, proxies, connections.
