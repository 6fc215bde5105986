"""Pictures drawn from exact attributes: avatars whose labels and groups are known because they were chosen."""
