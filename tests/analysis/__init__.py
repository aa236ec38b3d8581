"""What the engine hears, at the interfaces it promises."""
