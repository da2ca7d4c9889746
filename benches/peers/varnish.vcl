vcl 4.1;
# The built-in rules pass requests with Authorization.
backend default { .host = "127.0.0.1"; .port = "19700"; }
sub vcl_recv { return (hash); }
sub vcl_hash { hash_data(req.url); hash_data(req.http.authorization); return (lookup); }
sub vcl_backend_response { unset beresp.http.vary; set beresp.ttl = 1h; set beresp.uncacheable = false; return (deliver); }
