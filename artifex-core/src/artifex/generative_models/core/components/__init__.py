"""Components by kind and name: installed metadata, discovery, pins, registries and the factory."""
