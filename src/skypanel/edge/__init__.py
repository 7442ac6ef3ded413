"""`skypanel edge`: beside Traefik on every ingress node of a cluster.

It follows the control plane and writes the files that Traefik routes by; they stay when everything else is away.
"""
