"""From unlabelled shopping to a language agent: the stages of TEDUO on WebShop."""
