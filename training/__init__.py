"""How what the engine has learnt was made: material, labels, training. Nothing at run time imports it."""
