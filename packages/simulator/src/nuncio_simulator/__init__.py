"""The push providers on this machine: APNs, FCM v1 and Web Push, over TLS and HTTP/2."""
