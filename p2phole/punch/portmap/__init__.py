"""A port mapping asked of the router for the shared TCP port: PCP, NAT-PMP, UPnP-IGD."""
