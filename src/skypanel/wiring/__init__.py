"""The one place that reads settings and names concrete drivers: `shared` parts, the `serve` process, the `work`er.
Split so that the unprivileged server does not even import what only root may do."""
