"""The published language: what services, storefronts and warehouses say to each other, and nothing else."""
